"""A model as an artefact that others serve: ONNX, OpenVINO, LiteRT, SavedModel, Hugging Face."""
