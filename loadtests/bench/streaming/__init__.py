"""What `./partstream bench stream` measures, one file per figure, and the processes it measures with."""
