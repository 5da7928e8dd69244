"""Prediction: one study or many, checked, segmented, written on the grid they came on."""

from pipelines.predict.batch import case_names, predict_studies
from pipelines.predict.model import Model, load_model
from pipelines.predict.qc import check_input
from pipelines.predict.segment import Segmentation, segment
from pipelines.predict.study import StudyResult, predict_study

__all__ = [
    "Model",
    "Segmentation",
    "StudyResult",
    "case_names",
    "check_input",
    "load_model",
    "predict_studies",
    "predict_study",
    "segment",
]
