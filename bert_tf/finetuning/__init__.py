"""Fine-tuning, whatever the head: what run_classifier.py and run_tagger.py share."""
