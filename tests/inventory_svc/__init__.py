"""Tests of the inventory service; paths mirror ``inventory_svc``."""
