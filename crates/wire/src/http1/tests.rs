//! Tests of whole messages. Tables of single functions stand beside those functions.

mod requests;
