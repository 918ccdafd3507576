from django import forms


class FirstModelForm(forms.Form):
    minutes = forms.FloatField(
        min_value=2,
        max_value=600,
        initial=15,
        label="Minutes",
        help_text="Of wall time on two idle cores, from raw code to a model on staff.",
    )
