import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0002_source_kinds'),
    ]

    operations = [
        migrations.AlterField(
            model_name='tokenizer',
            name='dataset_version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tokenizers', to='datasets.datasetversion'),
        ),
    ]
