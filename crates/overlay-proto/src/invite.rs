//! Invitations (section 3.3).
