"""Configurations of OpenSSL that nodes may have, whatever a bundle was built with."""

#: A provider besides the default one, and a directive of some other version.
ODD = """\
openssl_conf = init
[init]
providers = providers
ssl_conf = ssl
[providers]
default = on
legacy = on
[on]
activate = 1
[ssl]
system_default = policy
[policy]
MinProtocol = TLSv1.2
FromTheFuture = yes
"""
