"""Has one chunk translated: asks the model, looks at what it answers, asks again. Knows no queue and no store."""
