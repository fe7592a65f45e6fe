"""Failed sign-ins at the console."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="FailedSignIn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("client_ip", models.TextField()),
                ("username", models.CharField(max_length=150)),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["client_ip", "at"], name="failed_sign_in_client"),
                    models.Index(fields=["username", "at"], name="failed_sign_in_username"),
                ],
            },
        ),
    ]
