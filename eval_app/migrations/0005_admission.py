import controlplane.access.models
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0002_project_description'),
        ('evaluation', '0004_contamination'),
        ('jobs', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='suiteproblem',
            name='buggy',
            field=models.TextField(blank=True, default=''),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='suiteproblem',
            name='from_sample',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='evaluation.sampleresult'),
        ),
        migrations.CreateModel(
            name='SuiteAdmission',
            fields=[
                ('id', models.CharField(default=controlplane.access.models.new_id, editable=False, max_length=10, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('uri', models.CharField(blank=True, max_length=500, null=True)),
                ('sha256', models.CharField(blank=True, max_length=64, null=True)),
                ('n_bytes', models.BigIntegerField(blank=True, null=True)),
                ('counts', models.JSONField(default=dict)),
                ('summary', models.JSONField(default=dict)),
                ('parameters', models.JSONField()),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='jobs.job')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
                ('suite', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='admissions', to='evaluation.suite')),
            ],
            options={
                'abstract': False,
            },
        ),
    ]
