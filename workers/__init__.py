"""The Celery side: application, tasks, queues, beat, and the supervisor of one machine."""
