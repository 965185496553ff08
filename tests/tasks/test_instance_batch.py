import socket
import threading

import numpy as np
import pytest

from segcore.data.channel import Channel
from segcore.errors import DataError
from segcore.tasks.instance_batch import collate_instances, scale_of
from segcore.tasks.instances import list_instances
from segcore.tasks.rle import encode_mask
from segcore.tasks.sample import Sample

OUTLINE = np.array([[2.0, 3], [20, 3], [20, 15], [2, 15]])


def sample(height, width, objects=1):
    mask = np.zeros((height, width), np.uint8)
    mask[3:15, 2:20] = 1
    masks = [(OUTLINE,), encode_mask(mask)] * objects
    boxes = [(2, 3, 20, 15), (-4, 3, 20, 15)] * objects
    instances = list_instances(
        boxes, [1, 0] * objects, masks, [False, True] * objects, [216.0] * 2 * objects
    )
    image = np.ones((height, width, 3), np.float32)
    return Sample(image, source=f"{height}x{width}", instances=instances)


def test_images_of_any_size_are_filled_up_to_multiples_of_32():
    batch = collate_instances([sample(40, 50), sample(70, 33)])
    assert batch.images.shape == (2, 3, 96, 64)
    assert batch.im_shape.tolist() == [[40, 50], [70, 33]]
    assert batch.images[0, :, :40, :50].all()
    assert batch.images.sum() == 3 * (40 * 50 + 70 * 33)
    assert [len(instances) for instances in batch.instances] == [2, 2]


def test_boxes_are_cut_at_the_borders():
    batch = collate_instances([sample(40, 50)])
    assert batch.instances[0].boxes[1].tolist() == [2, 3, 20, 15]


def test_objects_are_needed():
    with pytest.raises(DataError, match="photo: has no objects"):
        collate_instances([Sample(np.ones((8, 8, 3), np.float32), source="photo")])


def test_the_scale_is_that_of_all_resizes():
    image = np.zeros((100, 200, 3), np.float32)
    shrunk = Sample(image, geometry=[("resize", (400, 400)), ("padding", (100, 100))])
    assert scale_of(shrunk) == (0.25, 0.25)
    padded = Sample(image, geometry=[("padding", (50, 50)), ("resize", (50, 100))])
    assert scale_of(padded) == (2, 2)
    assert scale_of(Sample(image)) == (1, 1)


def test_batches_of_any_shape_travel_between_processes():
    """Lists of arrays of all sizes, none among them, as they come from workers."""
    ours, theirs = (Channel(end) for end in socket.socketpair())
    for batch in (
        collate_instances([sample(40, 50), sample(70, 33, objects=60)]),
        collate_instances(
            [Sample(np.ones((8, 8, 3), np.float32), instances=list_instances([], [], [], [], []))]
        ),
    ):
        sending = threading.Thread(target=ours.send, args=(batch,))
        sending.start()
        arrived = theirs.receive()
        sending.join()
        assert arrived.images.tobytes() == batch.images.tobytes()
        for got, sent in zip(arrived.instances, batch.instances, strict=True):
            assert got.boxes.tobytes() == sent.boxes.tobytes()
            assert len(got.masks) == len(sent.masks)
            for shape, other in zip(got.masks[::2], sent.masks[::2], strict=True):
                assert shape[0].tobytes() == other[0].tobytes()
            for shape, other in zip(got.masks[1::2], sent.masks[1::2], strict=True):
                assert shape.counts.tobytes() == other.counts.tobytes()
    ours.close()
    theirs.close()
