//! For authors of drivers: a trait, a macro and a conformance kit.
