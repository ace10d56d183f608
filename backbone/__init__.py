"""The backbone: trained here, from generated pictures only; torch is needed in this folder and nowhere else."""
