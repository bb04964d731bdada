"""What every process shares. No business word; imports none of our rooms but the generated contracts."""
