//! Values to tables, histograms, JSON, CSV, pictures.
