"""What vehicles tell each other by radio: messages, stations, a receiver that believes little, the air between.

Messages are UPER (ITU-T X.691). CAM and DENM are ETSI's, by pycrate's compiled modules. BSM Part I is our own
ASN.1 with the publicly known widths. Beneath them is an envelope of ours, where real radios have WSMP or
GeoNetworking, and IEEE 1609.2: nothing here was ever tried against a certified stack.
"""
