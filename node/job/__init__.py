"""Jobs as documents: definition, validation, plan, policy and result. Nothing here runs anything."""
