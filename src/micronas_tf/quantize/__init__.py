"""From a trained Keras model to a verified int8 flatbuffer; the only room that knows tf_keras and TF-MOT."""
