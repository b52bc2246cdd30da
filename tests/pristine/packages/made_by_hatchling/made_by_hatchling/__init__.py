MAKER = "hatchling"
