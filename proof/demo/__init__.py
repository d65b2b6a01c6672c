"""The product's main job, run on the lab, with every promise checked."""
