"""`Network` → Keras model of stock layers; flatbuffer or Keras model of known operators → `Network`."""
