"""What a workload says about its routes: which of them are open to everybody, and how the document describes them."""
