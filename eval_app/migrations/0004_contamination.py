import controlplane.access.models
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0002_project_description'),
        ('datasets', '0002_source_kinds'),
        ('evaluation', '0003_subjects'),
        ('jobs', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ContaminationCheck',
            fields=[
                ('id', models.CharField(default=controlplane.access.models.new_id, editable=False, max_length=10, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('uri', models.CharField(blank=True, max_length=500, null=True)),
                ('sha256', models.CharField(blank=True, max_length=64, null=True)),
                ('n_bytes', models.BigIntegerField(blank=True, null=True)),
                ('counts', models.JSONField(default=dict)),
                ('summary', models.JSONField(default=dict)),
                ('parameters', models.JSONField(default=dict)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contamination_checks', to='datasets.datasetversion')),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='jobs.job')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
                ('suite', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contamination_checks', to='evaluation.suite')),
            ],
            options={
                'indexes': [models.Index(fields=['suite', 'dataset_version', '-created_at'], name='contamination_check_newest')],
            },
        ),
        migrations.CreateModel(
            name='ContaminationMatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rank', models.PositiveIntegerField()),
                ('task_id', models.CharField(max_length=120)),
                ('part', models.CharField(max_length=12)),
                ('kind', models.CharField(choices=[('verbatim', 'verbatim'), ('reformatted', 'reformatted'), ('renamed', 'renamed'), ('partial', 'partial')], max_length=12)),
                ('similarity', models.FloatField()),
                ('overlap', models.FloatField()),
                ('ast_similarity', models.FloatField(null=True)),
                ('n_shared', models.PositiveIntegerField()),
                ('n_grams', models.PositiveIntegerField()),
                ('document_id', models.CharField(max_length=64)),
                ('path', models.TextField()),
                ('source', models.CharField(max_length=80)),
                ('language', models.CharField(max_length=60)),
                ('line_from', models.PositiveIntegerField()),
                ('line_to', models.PositiveIntegerField()),
                ('excerpt', models.TextField()),
                ('probe', models.TextField()),
                ('in_check', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='matches', to='evaluation.contaminationcheck')),
            ],
            options={
                'ordering': ['in_check', 'rank'],
                'indexes': [models.Index(fields=['in_check', 'task_id'], name='contamination_of_problem')],
                'constraints': [models.UniqueConstraint(fields=('in_check', 'rank'), name='contamination_rank_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['verbatim', 'reformatted', 'renamed', 'partial'])), name='contamination_kind_is_known'), models.CheckConstraint(condition=models.Q(('part__in', ['prompt', 'reference'])), name='contamination_part_is_known'), models.CheckConstraint(condition=models.Q(('overlap__gte', 0), ('overlap__lte', 1), ('similarity__gte', 0), ('similarity__lte', 1)), name='contamination_similarity_is_a_share'), models.CheckConstraint(condition=models.Q(('line_to__gte', models.F('line_from'))), name='contamination_lines_in_order')],
            },
        ),
    ]
