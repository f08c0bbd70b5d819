"""The workstation side of Trivet: profiles to images, sites, and machines in the lab."""
