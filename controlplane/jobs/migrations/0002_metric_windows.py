"""The extremes of each 32 and 512 steps of every curve, so that a long one is drawn without reading its points."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

# Ordered by (value, step), so that min() and max() find the step too. A step may be below zero, where % is negative.
WINDOWS = """
INSERT INTO jobs_metricwindow (job_id, name, level, start, low, low_step, high, high_step)
SELECT job_id, name, {level}, start, low[1], low[2], high[1], high[2]
FROM (
    SELECT job_id, name, {step} - (({step} % {level}) + {level}) % {level} AS start,
        min(ARRAY[{low}]::float8[]) AS low, max(ARRAY[{high}]::float8[]) AS high
    FROM {source} GROUP BY 1, 2, 3
) AS windows
"""
FROM_POINTS = (
    WINDOWS.format(level=32, step="step", low="value, step", high="value, step", source="jobs_metricpoint"),
    WINDOWS.format(level=512, step="start", low="low, low_step", high="high, high_step", source="jobs_metricwindow"),
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0001_initial")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="MetricWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("level", models.PositiveSmallIntegerField()),
                ("start", models.BigIntegerField()),
                ("low", models.FloatField()),
                ("low_step", models.BigIntegerField()),
                ("high", models.FloatField()),
                ("high_step", models.BigIntegerField()),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("job", "name", "level", "start"), name="metric_window_once")
                ],
            },
        ),
        migrations.RunSQL(list(FROM_POINTS), migrations.RunSQL.noop),
    ]
