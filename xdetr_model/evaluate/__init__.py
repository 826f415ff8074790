"""How good a network is: boxes without classes, and phrases grounded in photos."""
