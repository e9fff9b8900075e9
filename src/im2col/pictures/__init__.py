"""The pictures: geometry and arrays become a scene, plain data, which renderers draw."""
