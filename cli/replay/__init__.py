"""`./partstream replay`: plays a file of stock movements through the inventory service and compares the outcome."""
