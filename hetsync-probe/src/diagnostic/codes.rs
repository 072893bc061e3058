//! Every code with its title and its explanation (filled in below).
