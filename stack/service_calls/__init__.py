"""How verbs call the running services: found, authorised, patient, and resumed after a kill."""
