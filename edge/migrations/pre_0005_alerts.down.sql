-- Drop the alerts. Their reporters fire those again whose condition holds; resolved ones are lost.

DROP TABLE alert;
