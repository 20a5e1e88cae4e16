"""Boxes and labels as annotations have them: CSV, COCO's JSON, PASCAL VOC's XML and lists."""
