"""The contest of narrow numbers: convolutions of 8-bit integers and of bfloat16, beside float32."""
