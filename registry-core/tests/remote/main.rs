//! Tests of everything that talks to a server, in one binary.
