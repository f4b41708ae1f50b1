//! Protection of records (section 7.1).
