"""The machine learning: plain Python, one stage a process. No Django, no SQL, no Redis in here."""
