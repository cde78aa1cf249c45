"""For tests of this package and of your own backends: small loops and models, real servers, doubles."""
