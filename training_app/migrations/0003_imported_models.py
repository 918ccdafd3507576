import controlplane.access.models
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0001_initial'),
        ('datasets', '0003_tokenizers_of_imported_models'),
        ('jobs', '0001_initial'),
        ('training', '0002_run_view'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelImport',
            fields=[
                ('id', models.CharField(default=controlplane.access.models.new_id, editable=False, max_length=10, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('uri', models.CharField(blank=True, max_length=500, null=True)),
                ('sha256', models.CharField(blank=True, max_length=64, null=True)),
                ('n_bytes', models.BigIntegerField(blank=True, null=True)),
                ('counts', models.JSONField(default=dict)),
                ('summary', models.JSONField(default=dict)),
                ('location', models.CharField(max_length=500)),
                ('revision', models.CharField(blank=True, max_length=120)),
                ('decode_settings', models.JSONField()),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='jobs.job')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='training.model')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('location', ''), _negated=True), name='model_import_has_a_location')],
            },
        ),
        migrations.AddField(
            model_name='modelversion',
            name='imported',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='model_versions', to='training.modelimport'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('imported__isnull', True), ('run__isnull', False)), models.Q(('imported__isnull', False), ('run__isnull', True)), _connector='OR'), name='model_version_has_one_origin'),
        ),
    ]
