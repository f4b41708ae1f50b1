//! How a link is opened (section 4).
