MAKER = "flit"
