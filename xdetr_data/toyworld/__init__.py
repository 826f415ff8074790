"""A world that draws itself: photos of shapes with every input format the pipelines read, and with the truth.

``world.write_toyworld(out, photos=N, seed=S)`` writes::

    photos/{coco,vg,flickr,openimages}/*.jpg     one folder a source, for --image-root; cc's photos are in its tars
    mdetr/final_mixed_{train,val}.json           paragraphs of COCO and Visual Genome photos
    mdetr/final_flickr_separateGT_{train,val,test}.json · mdetr/finetune_refcoco_{train,val,testA,testB}.json
    coco/instances_{train,val}2014.json · coco/captions_{train,val}2014.json
    lvis/lvis_{v1,v0.5}_{train,val}.json
    visual_genome/image_data.json                which of its photos are COCO's under another number
    refcoco/{refcoco,refcoco+}/refs(unc).p · refcoco/refcocog/refs({umd,google}).p
    refcoco/*/instances.json
    flickr30k_entities/{Sentences,Annotations}/ · {train,val,test}.txt · UNRELATED_CAPTIONS
    openimages/{train,validation,test}-annotations-bbox.csv · openimages/class-descriptions-boxable.csv
    locnar/*.jsonl
    cc/train.tsv · cc/00000.tar …
    truth/{train,val,test}.jsonl                 read with ``truth.read_truth``
    toyworld.json                                written last: what is here, complete only if present

A photo lives in one collection, which may feed several files, as in life (``homes``). Photo i is a function of
(seed, i). How it is made: ``vocabulary`` and ``templates`` are the tables of what exists and what is said; ``scene``
and ``render`` draw; ``view``, ``relations``, ``wording``, ``filling`` and ``speech`` speak; ``formats`` write;
``world`` runs it.
"""
