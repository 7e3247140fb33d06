"""Models of motion, one file each, named after their papers."""

from talker.models.diffposetalk import DiffPoseTalk
from talker.models.diffusiontalker import DiffusionTalker
from talker.models.facediffuser import FaceDiffuser
from talker.models.motion_model import MotionModel
from talker.models.regression import Regression
from talker.models.three_diface import ThreeDiFace

DENOISERS: dict[str, type[MotionModel]] = {
    model.config_class.model_type: model
    for model in (DiffusionTalker, DiffPoseTalk, ThreeDiFace, FaceDiffuser, Regression)
}
"""Models by the model_type of a checkpoint's config.json."""
