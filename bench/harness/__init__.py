"""The benchmarks' parts: what is started, how it is driven, and how figures are told from noise."""
