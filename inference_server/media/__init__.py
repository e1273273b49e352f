"""Pictures, videos and part maps, in and out. Bad files are refused, before decoding where possible."""
