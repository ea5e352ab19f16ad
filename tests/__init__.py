"""Everything real but the third party, and that one real too where it is the demo's."""
