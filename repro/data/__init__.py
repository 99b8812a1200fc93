"""Images and teachers: datasets, corruption, augmentation, and the pipeline that feeds training."""
