"""The single executable: `./dev binary` builds it, README.md here is for who runs it, ADR 26 says why it is so."""
