"""From the service's updates to job statuses."""
